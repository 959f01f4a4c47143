package main

import (
	"context"
	"fmt"
	"net"
	"os/signal"
	"strings"
	"syscall"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
)

// serve answers until it is told to stop. It says "listening" once clients may come.
func serve(address string) error {
	network := "tcp"
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		network, address = "unix", path
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	auth.RegisterAuthorizationServer(server, authorizer{})
	extproc.RegisterExternalProcessorServer(server, processor{})
	healthpb.RegisterHealthServer(server, health.NewServer())
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	go func() {
		<-stop.Done()
		server.Stop()
	}()
	fmt.Printf("listening %s\n", listener.Addr())
	return server.Serve(listener)
}

type authorizer struct {
	auth.UnimplementedAuthorizationServer
}

// The fixed answer is made once: what is measured is the transport and the codec.
var allowed = &auth.CheckResponse{
	Status:       &rpcstatus.Status{},
	HttpResponse: &auth.CheckResponse_OkResponse{OkResponse: &auth.OkHttpResponse{}},
}

func (authorizer) Check(context.Context, *auth.CheckRequest) (*auth.CheckResponse, error) {
	return allowed, nil
}
