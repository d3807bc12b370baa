import io.grpc.CallOptions;
import io.grpc.MethodDescriptor;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.util.concurrent.TimeUnit;

/** grpc-java with one channel; a message is its bytes. Arguments: URL REQUESTS CONCURRENCY. */
final class GrpcJava {
    public static void main(String[] arguments) throws Exception {
        var url = URI.create(arguments[0]);
        var channel = NettyChannelBuilder.forAddress(url.getHost(), url.getPort()).usePlaintext().build();
        var method = MethodDescriptor.newBuilder(new Bytes(), new Bytes()).setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName("echo.Echo/Say").build();
        Run.run(arguments[1], arguments[2], () -> ClientCalls.blockingUnaryCall(channel, method,
            CallOptions.DEFAULT.withDeadlineAfter(Run.TIMEOUT_SECONDS, TimeUnit.SECONDS), Run.BODY));
    }

    private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream stream) {
            try (stream) {
                return stream.readAllBytes();
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }
}
