"""Code that the developers' page shows: real files, imported and tested, so that what is read also runs."""
