"""One file per migration; a migration never changes once it was released."""
