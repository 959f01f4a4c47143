// Command grpc is the other side that Sluice's gRPC server is held against: a server with fixed answers on grpc-go
// (`serve`), and the interop cases of gRPC as a grpc-go client (`client`).
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("which: serve or client?")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	switch args[0] {
	case "serve":
		listen := flags.String("listen", "", "unix:/path or host:port")
		_ = flags.Parse(args[1:])
		return serve(*listen)
	case "client":
		address := flags.String("address", "", "unix:/path or host:port")
		ca := flags.String("tls-ca", "", "PEM file with who signed the server's certificate; plain text without it")
		name := flags.String("case", "", "the case to run; the names of all are printed without it")
		_ = flags.Parse(args[1:])
		return client(*address, *ca, *name)
	default:
		return fmt.Errorf("%q: expected serve or client", args[0])
	}
}
