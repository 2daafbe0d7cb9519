"""The widget in a frame, for pages that show how a notice looks or looked."""
