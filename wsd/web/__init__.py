"""What a URL is: the door, the HTTP side behind it, the site, the probes and the console."""
