// Command grpc is the other side that Sluice's gRPC server is held against: a server with fixed answers on grpc-go
// (`serve`).
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
		return fmt.Errorf("expected serve")
	}
	flags := flag.NewFlagSet(args[0], flag.ExitOnError)
	switch args[0] {
	case "serve":
		listen := flags.String("listen", "", "unix:/path or host:port")
		_ = flags.Parse(args[1:])
		return serve(*listen)
	default:
		return fmt.Errorf("%q: expected serve", args[0])
	}
}
