"""Who may do what, and how much: a module for each rule. Their limits are in `wsd.config.Policies`."""
