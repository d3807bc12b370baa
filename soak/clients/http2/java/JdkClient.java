import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.cert.X509Certificate;
import java.time.Duration;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

/** The JDK's HttpClient, which knows no HTTP/2 by prior knowledge: over TLS. Arguments: URL REQUESTS CONCURRENCY. */
final class JdkClient {
    public static void main(String[] arguments) throws Exception {
        System.setProperty("jdk.internal.httpclient.disableHostnameVerification", "true");
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, new TrustManager[] {new Trusting()}, null);
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_2).sslContext(tls).build();
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).timeout(Duration.ofSeconds(Run.TIMEOUT_SECONDS))
            .POST(BodyPublishers.ofByteArray(Run.BODY)).build();
        Run.run(arguments[1], arguments[2], () -> {
            var answer = client.send(request, BodyHandlers.ofByteArray());
            if (answer.statusCode() != 200 || answer.version() != HttpClient.Version.HTTP_2) {
                throw new IllegalStateException("status " + answer.statusCode() + " by " + answer.version());
            }
            return answer.body();
        });
    }

    /** The certificate is the run's own. */
    private static final class Trusting implements X509TrustManager {
        @Override
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
