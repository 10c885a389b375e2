"""Pure statistics: numbers in, numbers out; no table, no engine, no plot."""
