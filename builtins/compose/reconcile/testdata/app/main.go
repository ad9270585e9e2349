// Command app is what tests put into containers: it serves, fails, ends, or eats memory, as its arguments say.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	switch os.Args[1] {
	case "exit":
		n, _ := strconv.Atoi(os.Args[2])
		fmt.Println("ends with", n)
		os.Exit(n)
	case "eat":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
		}
	case "fail":
		fmt.Println("the database is away")
		os.Exit(1)
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM)
	if len(os.Args) > 2 {
		d, _ := time.ParseDuration(os.Args[2])
		time.AfterFunc(d, func() { os.WriteFile("/ready", nil, 0o600) })
	}
	fmt.Println("serves")
	<-c
}
