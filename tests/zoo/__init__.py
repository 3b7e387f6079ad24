"""Values of many classes from many libraries: each comes back equal, or is refused."""
