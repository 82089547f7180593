import com.alibaba.fastjson2.JSON;
import com.alibaba.otter.canal.protocol.FlatMessage;
import com.aliyun.dts.subscribe.clients.record.DefaultUserRecord;
import com.aliyun.dts.subscribe.clients.record.RecordField;
import com.aliyun.dts.subscribe.clients.record.RecordSchema;
import com.aliyun.dts.subscribe.clients.record.RowImage;
import com.aliyun.dts.subscribe.clients.record.value.DecimalNumeric;
import com.aliyun.dts.subscribe.clients.record.value.Value;
import com.aliyun.dts.subscribe.clients.recordgenerator.AvroDeserializer;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.TopicPartition;

/**
 * Decodes the values of a topic with Alibaba's own classes: DTS Avro with the SDK of its Data Transmission Service, and Canal JSON as
 * Canal's Kafka client does. The arguments are the name of the format, the file to read and the file to write.
 *
 * Each value in the first file begins with its length. The second file gets, for each value, a list of rows; a row is: operation, database,
 * table, list of key columns, image before, image after. A DDL statement is a row whose image after has the column "ddl". A list, a text and
 * an image begin with a number: how many items, bytes or columns follow. The number is -1 for NULL and for an image that is missing.
 */
public class ReadTopic {
    private final DataOutputStream out;

    private ReadTopic(DataOutputStream out) {
        this.out = out;
    }

    public static void main(String[] arguments) throws Exception {
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(new FileInputStream(arguments[1])));
                DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(arguments[2])))) {
            ReadTopic reader = new ReadTopic(out);
            AvroDeserializer deserializer = new AvroDeserializer();
            for (long offset = 0; in.available() > 0; offset++) {
                byte[] value = new byte[in.readInt()];
                in.readFully(value);
                if (arguments[0].equals("dts_avro")) {
                    // As the SDK's consumer makes the records that it hands to its listeners.
                    TopicPartition partition = new TopicPartition("topic", 0);
                    reader.write(new DefaultUserRecord(partition, offset, deserializer.deserialize(value), (a, b, c, d) -> {}));
                } else {
                    reader.write(JSON.parseObject(new String(value, StandardCharsets.UTF_8), FlatMessage.class));
                }
            }
        }
    }

    private void write(DefaultUserRecord record) throws IOException {
        out.writeInt(1);
        // The SDK's type of an operation has no value for rows of the full phase, the class of its record has.
        text(record.getAvroRecord().getOperation().toString());
        RecordSchema schema = record.getSchema();
        text(schema.getDatabaseName().orElse(null));
        text(schema.getTableName().orElse(null));
        List<String> key = new ArrayList<>();
        if (schema.getPrimaryIndexInfo() != null) {
            for (RecordField field : schema.getPrimaryIndexInfo().getIndexFields()) {
                key.add(field.getFieldName());
            }
        }
        texts(key);
        image(schema, record.getBeforeImage());
        image(schema, record.getAfterImage());
    }

    private void image(RecordSchema schema, RowImage image) throws IOException {
        if (image == null) {
            out.writeInt(-1);
            return;
        }
        out.writeInt(schema.getFieldCount());
        for (RecordField field : schema.getFields()) {
            Value<?> value = image.getValue(field);
            text(field.getFieldName());
            text(value == null ? null : value.getType() + " " + text(value));
        }
    }

    private static String text(Value<?> value) {
        // The text of the value itself has an exponent if it is small.
        return value instanceof DecimalNumeric ? ((DecimalNumeric) value).getData().toPlainString() : value.toString();
    }

    private void write(FlatMessage message) throws IOException {
        if (message.getIsDdl()) {
            out.writeInt(1);
            head(message);
            out.writeInt(-1);
            out.writeInt(1);
            text("ddl");
            text(message.getSql());
            return;
        }
        List<Map<String, String>> rows = message.getData();
        out.writeInt(rows.size());
        for (int row = 0; row < rows.size(); row++) {
            head(message);
            // `old` has only the columns that an update changed.
            image(message.getOld() == null ? null : message.getOld().get(row));
            image(rows.get(row));
        }
    }

    private void head(FlatMessage message) throws IOException {
        text(message.getType());
        text(message.getDatabase());
        text(message.getTable());
        texts(message.getPkNames() == null ? List.of() : message.getPkNames());
    }

    private void image(Map<String, String> columns) throws IOException {
        if (columns == null) {
            out.writeInt(-1);
            return;
        }
        out.writeInt(columns.size());
        for (Map.Entry<String, String> column : columns.entrySet()) {
            text(column.getKey());
            text(column.getValue());
        }
    }

    private void texts(List<String> texts) throws IOException {
        out.writeInt(texts.size());
        for (String text : texts) {
            text(text);
        }
    }

    private void text(String text) throws IOException {
        if (text == null) {
            out.writeInt(-1);
            return;
        }
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        out.writeInt(bytes.length);
        out.write(bytes);
    }
}
