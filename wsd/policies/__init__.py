"""Who may do what, and how much: one module for each rule. The limits are in `wsd.config.Policies`."""
