// Command empty does nothing: what it costs to start and end is the least that a
// Go program can cost.
package main

func main() {}
