# Fuzzers, one program a parser; built by make fuzz.
