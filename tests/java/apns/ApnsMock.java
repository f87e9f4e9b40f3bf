import com.eatthepath.pushy.apns.auth.ApnsVerificationKey;
import com.eatthepath.pushy.apns.server.*;
import io.netty.buffer.ByteBuf;
import io.netty.handler.codec.http2.DefaultHttp2Headers;
import io.netty.handler.codec.http2.Http2Headers;
import java.io.*;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.*;

/** Pushy's mock of APNs. Arguments: port chain.pem key.pem(PKCS#8) public.pem KEYID TEAMID topic token goneToken. */
public class ApnsMock {
  /** pushy 0.15.4 verifies DER signatures where RFC 7518 has r||s: converts them, and refuses everything else. */
  static Http2Headers withDer(Http2Headers headers) {
    CharSequence authorization = headers.get("authorization");
    String[] parts = authorization == null ? new String[0] : authorization.toString().split("\\.");
    if (parts.length != 3) return headers;
    byte[] signature;
    try { signature = Base64.getUrlDecoder().decode(parts[2]); } catch (IllegalArgumentException e) { return headers; }
    byte[] der = {0x30, 6, 2, 1, 1, 2, 1, 1};
    if (signature.length == 64) {
      byte[] r = new BigInteger(1, Arrays.copyOf(signature, 32)).toByteArray();
      byte[] s = new BigInteger(1, Arrays.copyOfRange(signature, 32, 64)).toByteArray();
      ByteArrayOutputStream out = new ByteArrayOutputStream();
      out.write(0x30); out.write(4 + r.length + s.length);
      out.write(2); out.write(r.length); out.writeBytes(r);
      out.write(2); out.write(s.length); out.writeBytes(s);
      der = out.toByteArray();
    }
    String encoded = Base64.getUrlEncoder().withoutPadding().encodeToString(der);
    return new DefaultHttp2Headers().setAll(headers).set("authorization", parts[0] + "." + parts[1] + "." + encoded);
  }

  public static void main(String[] args) throws Exception {
    String topic = args[6];
    ApnsVerificationKey key = ApnsVerificationKey.loadFromInputStream(new FileInputStream(args[3]), args[5], args[4]);
    String activities = topic + ".push-type.liveactivity";
    Set<String> tokens = Set.of(args[7], args[8]);
    ValidatingPushNotificationHandlerFactory factory = new ValidatingPushNotificationHandlerFactory(
        Map.of(topic, tokens, activities, tokens), Map.of(args[8], Instant.ofEpochSecond(1_700_000_000L)),
        Map.of(args[4], key), Map.of(key, Set.of(topic, activities)));
    MockApnsServerListener listener = new MockApnsServerListener() {
      public void handlePushNotificationAccepted(Http2Headers headers, ByteBuf payload) {
        System.out.println("ACCEPTED\t" + headers.get("apns-push-type") + "\t" + headers.get("apns-id") + "\t"
            + payload.toString(StandardCharsets.UTF_8));
      }
      public void handlePushNotificationRejected(Http2Headers headers, ByteBuf payload, RejectionReason reason, Instant at) { }
    };
    MockApnsServer server = new MockApnsServerBuilder()
        .setServerCredentials(new File(args[1]), new File(args[2]), null)
        .setHandlerFactory(session -> {
          PushNotificationHandler handler = factory.buildHandler(session);
          return (headers, payload) -> handler.handlePushNotification(withDer(headers), payload);
        })
        .setListener(listener).setMaxConcurrentStreams(20).build();
    server.start(Integer.parseInt(args[0])).get();
    System.out.println("READY");
    Thread.currentThread().join();
  }
}
