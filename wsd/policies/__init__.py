"""Who may, and how much: pure rules, each a module, under one flat record of limits (`wsd.config.Policies`)."""
