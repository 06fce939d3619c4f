"""Who may ask which address: the rows of the table, the world that they are asked in, and who asks."""
