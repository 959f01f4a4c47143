package main

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

// A case hangs where the server says nothing: then it has failed.
const patience = 60 * time.Second

type peer struct {
	connection *grpc.ClientConn
	service    testgrpc.TestServiceClient
}

type interopCase struct {
	name string
	run  func(context.Context, peer) error
}

// official makes a case of one that grpc-go has: it ends the process where it fails.
func official(run func(context.Context, testgrpc.TestServiceClient, ...grpc.CallOption)) func(context.Context, peer) error {
	return func(ctx context.Context, to peer) error {
		run(ctx, to.service)
		return nil
	}
}

// See https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
var cases = []interopCase{
	{"empty_unary", official(interop.DoEmptyUnaryCall)},
	{"large_unary", official(interop.DoLargeUnaryCall)},
	{"client_streaming", official(interop.DoClientStreaming)},
	{"server_streaming", official(interop.DoServerStreaming)},
	{"ping_pong", official(interop.DoPingPong)},
	{"empty_stream", official(interop.DoEmptyStream)},
	{"cancel_after_begin", official(interop.DoCancelAfterBegin)},
	{"cancel_after_first_response", official(interop.DoCancelAfterFirstResponse)},
	{"timeout_on_sleeping_server", official(interop.DoTimeoutOnSleepingServer)},
	{"custom_metadata", official(interop.DoCustomMetadata)},
	{"status_code_and_message", official(interop.DoStatusCodeAndMessage)},
	{"special_status_message", official(interop.DoSpecialStatusMessage)},
	{"unimplemented_service", func(ctx context.Context, to peer) error {
		interop.DoUnimplementedService(ctx, testgrpc.NewUnimplementedServiceClient(to.connection))
		return nil
	}},
	{"unimplemented_method", unimplementedMethod},
	{"compressed_request", compressedRequest},
	{"concurrent_calls", concurrentCalls},
	{"concurrent_streams", concurrentStreams},
	{"message_too_large", messageTooLarge},
}

// client runs one case, or prints the names of all of them where none is named.
func client(address, ca, name string) error {
	for _, each := range cases {
		switch name {
		case "":
			fmt.Println(each.name)
		case each.name:
			return attempt(each, address, ca)
		}
	}
	if name != "" {
		return fmt.Errorf("no case %q", name)
	}
	return nil
}

func attempt(each interopCase, address, ca string) error {
	secured := insecure.NewCredentials()
	if ca != "" {
		var err error
		if secured, err = credentials.NewClientTLSFromFile(ca, "localhost"); err != nil {
			return err
		}
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secured))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return each.run(ctx, peer{connection, testgrpc.NewTestServiceClient(connection)})
}
