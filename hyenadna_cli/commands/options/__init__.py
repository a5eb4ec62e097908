"""Options that mean the same in several commands, and the settings that they make."""
