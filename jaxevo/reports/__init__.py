"""What people look at and take away: results, networks, exports, verification."""
