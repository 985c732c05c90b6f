"""Reports on runs: results, networks, exports, verification."""
