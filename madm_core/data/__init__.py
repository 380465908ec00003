"""Data on disk: bags, data sets and checks. Import the modules by name; nothing is loaded before it is needed."""
