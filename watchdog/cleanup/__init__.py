"""`watchdog clean`: what dead browsers left in /tmp."""
