import Foundation
import OnnxRuntimeBindings

/// The genre of windows, by ONNX Runtime.
final class OnnxGenres: Genres {
    private let environment: ORTEnv
    private let session: ORTSession
    private let names: [String]
    private let input: String
    private let output: String

    init() throws {
        names = try labels()
        environment = try ORTEnv(loggingLevel: .warning)
        let options = try ORTSessionOptions()
        try options.setIntraOpNumThreads(1)
        let path = try resource("genres.onnx").path
        session = try ORTSession(env: environment, modelPath: path, sessionOptions: options)
        input = try session.inputNames()[0]
        output = try session.outputNames()[0]
    }

    func classify(_ samples: [Float]) throws -> [Genre] {
        let data = NSMutableData(bytes: samples, length: samples.count * MemoryLayout<Float>.stride)
        let shape: [NSNumber] = [1, NSNumber(value: samples.count)]
        let window = try ORTValue(tensorData: data, elementType: .float, shape: shape)
        let results = try session.run(
            withInputs: [input: window], outputNames: [output], runOptions: nil)
        return named(names, try results[output]!.tensorData() as Data)
    }
}
