package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Above what the server takes, by what its test says.
const tooLargeBytes = 1<<20 + 1

func expect(err error, code codes.Code) error {
	if status.Code(err) != code {
		return fmt.Errorf("ended with %v, expected %v", err, code)
	}
	return nil
}

func unimplementedMethod(ctx context.Context, to peer) error {
	err := to.connection.Invoke(ctx, "/grpc.testing.TestService/NoSuchCall", &testpb.Empty{}, &testpb.Empty{})
	return expect(err, codes.Unimplemented)
}

func compressedRequest(ctx context.Context, to peer) error {
	var header, trailer metadata.MD
	_, err := to.service.UnaryCall(ctx, echoOf(1), grpc.UseCompressor(gzip.Name), grpc.Header(&header), grpc.Trailer(&trailer))
	if err := expect(err, codes.Unimplemented); err != nil {
		return err
	}
	accepted := append(header.Get("grpc-accept-encoding"), trailer.Get("grpc-accept-encoding")...)
	if !slices.Contains(accepted, "identity") {
		return fmt.Errorf("grpc-accept-encoding %q: expected identity", accepted)
	}
	_, err = to.service.EmptyCall(ctx, &testpb.Empty{})
	return expect(err, codes.OK)
}

func concurrentCalls(ctx context.Context, to peer) error {
	return together(100, func(number int) error {
		answer, err := to.service.UnaryCall(ctx, echoOf(number*100))
		if err != nil {
			return err
		}
		if length := len(answer.GetPayload().GetBody()); length != number*100 {
			return fmt.Errorf("call %d was answered with %d bytes", number, length)
		}
		return nil
	})
}

// concurrentStreams has every stream hold 10 answers of up to 50 kB against windows that they share.
func concurrentStreams(ctx context.Context, to peer) error {
	return together(100, func(number int) error {
		stream, err := to.service.FullDuplexCall(ctx)
		if err != nil {
			return err
		}
		size := number * 500
		for range 10 {
			err := stream.Send(&testpb.StreamingOutputCallRequest{
				ResponseParameters: []*testpb.ResponseParameters{{Size: int32(size)}},
				Payload:            &testpb.Payload{Body: bytes.Repeat([]byte{byte(number)}, size)},
			})
			if err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		for range 10 {
			answer, err := stream.Recv()
			if err != nil {
				return err
			}
			if length := len(answer.GetPayload().GetBody()); length != size {
				return fmt.Errorf("stream %d was answered with %d bytes", number, length)
			}
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("stream %d ended with %v", number, err)
		}
		return nil
	})
}

func messageTooLarge(ctx context.Context, to peer) error {
	request := echoOf(1)
	request.Payload = &testpb.Payload{Body: make([]byte, tooLargeBytes)}
	_, err := to.service.UnaryCall(ctx, request)
	if err := expect(err, codes.ResourceExhausted); err != nil {
		return err
	}
	_, err = to.service.EmptyCall(ctx, &testpb.Empty{})
	return expect(err, codes.OK)
}

func echoOf(size int) *testpb.SimpleRequest {
	return &testpb.SimpleRequest{ResponseSize: int32(size), Payload: &testpb.Payload{Body: make([]byte, size)}}
}

// together runs calls that are all under way at once on one connection, and gives the first problem.
func together(count int, call func(number int) error) error {
	problems := make([]error, count)
	var group sync.WaitGroup
	for number := range count {
		group.Go(func() { problems[number] = call(number) })
	}
	group.Wait()
	return errors.Join(problems...)
}
