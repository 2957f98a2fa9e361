"""A page and an endpoint that label photos with a trained ensemble, on this machine."""
