"""Networks, their training and their activity, and the data that ship with packages."""
