"""box - the embedded back end: the sandbox server's protocol on one machine."""
