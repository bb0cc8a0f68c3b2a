import Foundation
import TensorFlowLite

/// The genre of windows, by LiteRT, whose pod still has its former name.
final class LiteRtGenres: Genres {
    private let interpreter: Interpreter
    private let names: [String]

    init() throws {
        names = try labels()
        var options = Interpreter.Options()
        options.threadCount = 1
        options.isXNNPackEnabled = true
        interpreter = try Interpreter(modelPath: resource("genres.tflite").path, options: options)
        try interpreter.allocateTensors()
    }

    func classify(_ samples: [Float]) throws -> [Genre] {
        try interpreter.copy(samples.withUnsafeBytes { Data($0) }, toInputAt: 0)
        try interpreter.invoke()
        return named(names, try interpreter.output(at: 0).data)
    }
}
