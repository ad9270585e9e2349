// What images of tests hold: a program that does what its first argument says.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	args := append(os.Args[1:], "", "", "")
	switch args[0] {
	case "print":
		fmt.Println(strings.TrimSpace(strings.Join(args[1:], " ")))
	case "lines":
		n, _ := strconv.Atoi(args[1])
		for i := 1; i <= n; i++ {
			fmt.Println("line", i)
		}
		code, _ := strconv.Atoi(args[2])
		os.Exit(code)
	case "fail":
		fmt.Println("one")
		fmt.Fprintln(os.Stderr, "two")
		n, _ := strconv.Atoi(args[1])
		os.Exit(n)
	case "copy":
		b, err := os.ReadFile(args[1])
		if err == nil {
			err = os.WriteFile(args[2], b, 0o644)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "cat":
		b, err := os.ReadFile(args[1])
		fmt.Print(string(b))
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	case "list":
		entries, _ := os.ReadDir(args[1])
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	case "env":
		fmt.Println(os.Getenv(args[1]))
	case "meet": // one answers, and the other asks it by its name
		if args[1] == "" {
			l, err := net.Listen("tcp", ":80")
			fmt.Println("waits", err)
			c, _ := l.Accept()
			c.Write([]byte("met\n"))
			c.Close()
			return
		}
		c, err := net.DialTimeout("tcp", args[1]+":80", 5*time.Second)
		if err != nil {
			fmt.Println(err)
			return
		}
		io.Copy(os.Stdout, c)
	case "id":
		fmt.Println(os.Getuid(), os.WriteFile("/written", nil, 0o644) == nil)
	case "wait":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		fmt.Println("waits")
		select {
		case <-c:
			fmt.Println("told to end")
		case <-time.After(time.Minute):
		}
	case "serve": // until it is told to end; "check" passes from now on
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		os.WriteFile("/up", nil, 0o644)
		<-c
	case "check": // leaves the time of the first that has passed
		if _, err := os.Stat("/up"); err != nil {
			os.Exit(1)
		}
		if f, err := os.OpenFile("/passed", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err == nil {
			fmt.Fprint(f, time.Now().UnixNano())
			f.Close()
		}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("waits")
		time.Sleep(time.Minute)
	case "slow":
		time.Sleep(1200 * time.Millisecond)
	case "kill":
		fmt.Println("dies")
		syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "eat":
		var all [][]byte
		for {
			b := make([]byte, 8<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			fmt.Println(len(all))
		}
	case "stdin":
		io.Copy(os.Stdout, os.Stdin)
	default:
		fmt.Println("what is", args[0])
		os.Exit(2)
	}
}
