// Command probe is what tests of the cluster run in pods.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const usage = `probe serve ADDRESS         answers every request with the pod's and the node's name
probe get URL               prints the answer; exit code 1 after 2 s without one
probe lookup NAME           prints the addresses of a name
probe write FILE TEXT       writes it and syncs it to the disk
probe read FILE
probe sleep`

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("%s", usage))
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "probe:", err)
	os.Exit(1)
}

func run(verb string, args []string) error {
	switch {
	case verb == "serve" && len(args) == 1:
		return serve(args[0])
	case verb == "get" && len(args) == 1:
		return get(args[0])
	case verb == "lookup" && len(args) == 1:
		addresses, err := net.LookupHost(args[0])
		fmt.Println(strings.Join(addresses, " "))
		return err
	case verb == "write" && len(args) == 2:
		return write(args[0], args[1])
	case verb == "read" && len(args) == 1:
		text, err := os.ReadFile(args[0])
		fmt.Print(string(text))
		return err
	case verb == "sleep":
		time.Sleep(24 * time.Hour)
		return nil
	}
	return fmt.Errorf("%s", usage)
}

func serve(address string) error {
	pod, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(answer, "pod=%s node=%s from=%s\n", pod, os.Getenv("NODE_NAME"), request.RemoteAddr)
	})
	return http.ListenAndServe(address, nil)
}

func get(url string) error {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func write(name, text string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return directory.Sync()
}
