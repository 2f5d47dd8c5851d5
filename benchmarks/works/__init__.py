"""Every work that is measured: a module each, with functions that yield rows as they are known."""
