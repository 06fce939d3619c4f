"""System checks, one id for each setting that an operator can get wrong in a way that still starts."""
