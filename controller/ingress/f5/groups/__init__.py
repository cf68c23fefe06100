"""Groups of annotations: a module for each, which reads them into features."""
