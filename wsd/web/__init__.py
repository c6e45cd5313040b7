"""HTTP: the door reads request heads, the site knows what answers at a path, the channel has requests answered."""
