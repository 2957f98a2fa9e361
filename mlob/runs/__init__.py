"""The products of a suite, one module each: what is in runs/<suite>."""
