"""box - the sandbox server's protocol on one machine, embedded."""
