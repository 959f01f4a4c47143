package main

import (
	"errors"
	"io"

	filter "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type processor struct {
	extproc.UnimplementedExternalProcessorServer
}

// Process changes nothing, and ends when Envoy does.
func (processor) Process(stream extproc.ExternalProcessor_ProcessServer) error {
	var modes *extproc.ProtocolConfiguration
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Only the first message of a stream tells the modes.
		if told := request.GetProtocolConfig(); told != nil {
			modes = told
		}
		answer := unchanged(request, modes)
		if answer == nil {
			return status.Error(codes.InvalidArgument, "a request of no known kind")
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func unchanged(
	request *extproc.ProcessingRequest, modes *extproc.ProtocolConfiguration,
) *extproc.ProcessingResponse {
	switch part := request.GetRequest().(type) {
	case *extproc.ProcessingRequest_RequestHeaders:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestHeaders{
			RequestHeaders: &extproc.HeadersResponse{}}}
	case *extproc.ProcessingRequest_ResponseHeaders:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseHeaders{
			ResponseHeaders: &extproc.HeadersResponse{}}}
	case *extproc.ProcessingRequest_RequestBody:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestBody{
			RequestBody: body(part.RequestBody, modes.GetRequestBodyMode())}}
	case *extproc.ProcessingRequest_ResponseBody:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseBody{
			ResponseBody: body(part.ResponseBody, modes.GetResponseBodyMode())}}
	case *extproc.ProcessingRequest_RequestTrailers:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_RequestTrailers{
			RequestTrailers: &extproc.TrailersResponse{HeaderMutation: &extproc.HeaderMutation{}}}}
	case *extproc.ProcessingRequest_ResponseTrailers:
		return &extproc.ProcessingResponse{Response: &extproc.ProcessingResponse_ResponseTrailers{
			ResponseTrailers: &extproc.TrailersResponse{HeaderMutation: &extproc.HeaderMutation{}}}}
	default:
		return nil
	}
}

// body gives a chunk back where Envoy has let go of it, and keeps silent about one that Envoy still holds.
func body(chunk *extproc.HttpBody, mode filter.ProcessingMode_BodySendMode) *extproc.BodyResponse {
	if mode != filter.ProcessingMode_FULL_DUPLEX_STREAMED {
		return &extproc.BodyResponse{}
	}
	return &extproc.BodyResponse{Response: &extproc.CommonResponse{BodyMutation: &extproc.BodyMutation{
		Mutation: &extproc.BodyMutation_StreamedResponse{StreamedResponse: &extproc.StreamedBodyResponse{
			Body: chunk.GetBody(), EndOfStream: chunk.GetEndOfStream(),
		}},
	}}}
}
