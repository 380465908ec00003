"""What ``doctor`` looks at, one module a subject. Each check returns findings."""
