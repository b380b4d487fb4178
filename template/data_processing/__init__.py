"""From files to features: reading, cleaning, exploring and preprocessing the data."""
