"""What wsd is shipped as: Debian package, container, Kubernetes."""
