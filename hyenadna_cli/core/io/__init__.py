"""Files to records and back; arrays are numpy, never torch."""
