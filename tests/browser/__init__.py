"""What a visitor sees and what leaves the browser, on the demo site in real browsers."""
