"""What operators and developers look at: health, the API's description."""
