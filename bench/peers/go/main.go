// The user chain in Go, one server a process, as grpc-go's guides write it.
//
// Usage: users ROLE [NEXT], where ROLE is data, orchestrator2 or orchestrator1 and NEXT is the address of the server behind it.
// It prints its own address.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/user"
)

type data struct {
	user.UnimplementedMockUserDataServiceServer
}

func (data) GetMockUserData(_ context.Context, asked *user.UserName) (*user.User, error) {
	length := len(asked.Name)
	if length < 6 {
		return nil, status.Errorf(codes.InvalidArgument, "the name %q is shorter than 6 characters", asked.Name)
	}
	return &user.User{Name: asked.Name, Class: strconv.Itoa(length), Roll: int64(10 * length)}, nil
}

type orchestrator2 struct {
	user.UnimplementedOrchestrator2ServiceServer
	data user.MockUserDataServiceClient
}

func (server orchestrator2) GetUser(ctx context.Context, asked *user.User) (*user.User, error) {
	return server.data.GetMockUserData(ctx, &user.UserName{Name: asked.Name})
}

type orchestrator1 struct {
	user.UnimplementedOrchestrator1ServiceServer
	next user.Orchestrator2ServiceClient
}

func (server orchestrator1) GetUserByName(ctx context.Context, asked *user.UserName) (*user.User, error) {
	return server.next.GetUser(ctx, &user.User{Name: asked.Name})
}

func main() {
	server := grpc.NewServer()
	switch role := os.Args[1]; role {
	case "data":
		user.RegisterMockUserDataServiceServer(server, data{})
	case "orchestrator2":
		user.RegisterOrchestrator2ServiceServer(server, orchestrator2{data: user.NewMockUserDataServiceClient(next())})
	case "orchestrator1":
		user.RegisterOrchestrator1ServiceServer(server, orchestrator1{next: user.NewOrchestrator2ServiceClient(next())})
	default:
		log.Fatalf("no such role: %s", role)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

func next() *grpc.ClientConn {
	connection, err := grpc.Dial(os.Args[2], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	return connection
}
