import java.util.List;
import java.util.concurrent.TimeUnit;
import okhttp3.MediaType;
import okhttp3.OkHttpClient;
import okhttp3.Protocol;
import okhttp3.Request;
import okhttp3.RequestBody;

/** OkHttp by prior knowledge. Arguments: URL REQUESTS CONCURRENCY. */
final class OkHttp {
    public static void main(String[] arguments) throws Exception {
        var client = new OkHttpClient.Builder().protocols(List.of(Protocol.H2_PRIOR_KNOWLEDGE))
            .callTimeout(Run.TIMEOUT_SECONDS, TimeUnit.SECONDS).build();
        var body = RequestBody.create(Run.BODY, MediaType.get("application/octet-stream"));
        var request = new Request.Builder().url(arguments[0]).post(body).build();
        Run.run(arguments[1], arguments[2], () -> {
            try (var answer = client.newCall(request).execute()) {
                if (answer.code() != 200) {
                    throw new IllegalStateException("status " + answer.code());
                }
                return answer.body().bytes();
            }
        });
    }
}
