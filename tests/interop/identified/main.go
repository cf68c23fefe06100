// Command identified is the interop server of google.golang.org/grpc, answering fill_server_id, too: the server in that
// module leaves the field empty, and pick_first_unary asks for it.
package main

import (
	"context"
	"flag"
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"
)

func identify(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	response, err := handler(ctx, request)
	if asked, ok := request.(*testgrpc.SimpleRequest); ok && asked.FillServerId && err == nil {
		response.(*testgrpc.SimpleResponse).ServerId = "identified"
	}
	return response, err
}

func main() {
	address := flag.String("address", "127.0.0.1:0", "where to listen")
	useTLS := flag.Bool("use_tls", false, "speak TLS")
	certificate := flag.String("tls_cert_file", "", "certificate chain")
	key := flag.String("tls_key_file", "", "key")
	flag.Int("port", 0, "not used: as the other server has it")
	flag.Parse()
	options := []grpc.ServerOption{grpc.UnaryInterceptor(identify)}
	if *useTLS {
		found, err := credentials.NewServerTLSFromFile(*certificate, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(found))
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	testgrpc.RegisterTestServiceServer(server, interop.NewTestServer())
	log.Printf("interop server listening on %v", listener.Addr())
	log.Fatal(server.Serve(listener))
}
