"""Which rule holds where the visitor is: a table of rules, and the look-up of the country."""
